#!/bin/sh
# Buys an apple at the web front and waits until the worker has shipped it.
set -eu
get() {
    kubectl --context "$CONTEXT" get --raw "/api/v1/namespaces/$NAMESPACE/services/http:web:80/proxy$1"
}
order=$(get "/buy?item=apple")
echo "ordered: $order"
tries=0
until get "/orders" | grep -q "$order apple shipped"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        echo "order $order was not shipped in time" >&2
        exit 1
    fi
    sleep 0.3
done
echo "order $order was shipped"
