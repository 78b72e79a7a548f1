#!/bin/sh
# Buys an apple at the web front and waits until the worker has shipped it.
set -eu
tries=0
get() {
    kubectl --context "$CONTEXT" get --raw "/api/v1/namespaces/$NAMESPACE/services/http:web:80/proxy$1"
}
again() {
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "$1" >&2
        exit 1
    fi
    sleep 0.3
}
until order=$(get "/buy?item=apple"); do again "the front sells nothing"; done
echo "ordered: $order"
until get "/orders" | grep -q "$order apple shipped"; do again "order $order was not shipped in time"; done
echo "order $order was shipped"
