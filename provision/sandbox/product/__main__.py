"""``python -m provision.sandbox.product``: the sample product alone, on its own port of the loopback interface."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from provision.sandbox.product import PUBLIC_HOST
from provision.sandbox.product.microsoft import Cloud
from provision.sandbox.product.store import Store
from provision.sandbox.product.web import Product


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m provision.sandbox.product", description=__doc__)
    parser.add_argument("--port", type=int, default=8480, help="port on 127.0.0.1 (default 8480)")
    parser.add_argument("--dir", type=Path, required=True, help="folder for product.sqlite")
    parser.add_argument("--authority", default=Cloud.authority, help="login address (default %(default)s)")
    parser.add_argument("--graph", default=Cloud.graph, help="Graph address (default %(default)s)")
    parser.add_argument("--ca-file", type=Path, help="CA to trust for both (default: the machine's)")
    parser.add_argument("--cert-file", type=Path, help="certificate to serve TLS with (default: plain http)")
    parser.add_argument("--key-file", type=Path, help="its key")
    parser.add_argument("--public-names", action="store_true", help=f"also answer to {PUBLIC_HOST}")
    return parser


def application(options: argparse.Namespace) -> Starlette:
    """The ASGI application for a parsed command line."""
    cloud = Cloud(options.authority.rstrip("/"), options.graph.rstrip("/"), options.ca_file)
    hosts = (PUBLIC_HOST,) if options.public_names else ()
    return Starlette(routes=Product(Store(options.dir / "product.sqlite"), cloud, hosts).routes())


def main() -> None:
    """Serves until stopped."""
    options = arguments().parse_args()
    uvicorn.run(
        application(options),
        host="127.0.0.1",
        port=options.port,
        ssl_certfile=options.cert_file,
        ssl_keyfile=options.key_file,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
