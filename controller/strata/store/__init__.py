"""The store: an etcd v3 layer of our own, its in-memory twin, and the typed repository above them."""
