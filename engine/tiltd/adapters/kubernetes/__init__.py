"""Kubernetes: kubeconfig files, and one cluster behind `ports.Cluster`.

    kubeconfig   which context, from which files; asks no server, imports nothing heavy
    local        what a cluster's name says about it: is it for development, whose images it runs
    credentials  the official client's loader turns a context into certificates and tokens
    connection   raw HTTP requests and streams; the only module that imports aiohttp
    discovery    how a kind is spelled in a URL
    faults       what an answer that is no success means, and what to do about it
    objects      apply, delete, list
    watching     list, then watch, resumed for ever
    logs         each life of each container from its first line, resumed without loss or doubling
    keeping      tasks for exactly the things that are wanted now
    cluster      puts these together

The official client is used for what is hard to get right (credentials), and no further: its typed
calls cost three times the CPU of a raw request on the same aiohttp session, and its models more
memory than all the objects of a project.
"""
