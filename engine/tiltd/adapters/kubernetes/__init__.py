"""Kubernetes: kubeconfig files, and one cluster behind `ports.Cluster`.

    kubeconfig   which context, from which files; asks no server, imports nothing heavy
    local        what a cluster's name says about it: is it for development, whose images it runs
    logins       certificates, tokens and passwords that stand in a kubeconfig
    credentials  turns a context into them, by plugins and the official client where it takes those
    connection   raw HTTP requests and streams; the only module that imports aiohttp
    trust        keeps aiohttp from loading certificates that nobody here uses
    discovery    how a kind is spelled in a URL
    faults       what an answer that is no success means, and what to do about it
    objects      apply, delete, list
    watching     list, then watch, resumed for ever
    logs         each life of each container from its first line, resumed without loss or doubling
    keeping      tasks for exactly the things that are wanted now
    cluster      puts these together

The official client is used for what is hard to get right (`auth-provider`s), and no further: its
import costs as much as half a daemon's start, its typed calls three times the CPU of a raw request
on the same aiohttp session, and its models more memory than all the objects of a project.
"""
