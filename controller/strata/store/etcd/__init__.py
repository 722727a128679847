"""The store on a real etcd: a thin layer of our own over grpc.aio. Entry point: `store.open_etcd`.

This file imports nothing: grpc.aio costs 150 ms, and settings.py must be readable without it.
"""
