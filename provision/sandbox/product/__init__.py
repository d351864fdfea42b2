"""A sample product, "Sample TMS": what CLOUDEX TMS does with the three values, and nothing it could not do there.

It stands in the local tenant's server for convenience, yet talks to the tenant over TLS like a product of another
vendor. Run alone, on its own port: ``python -m provision.sandbox.product``.
"""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Route

from provision.sandbox.product.microsoft import Cloud
from provision.sandbox.product.store import Store
from provision.sandbox.product.web import Product
from provision.sandbox.world import World

PUBLIC_HOST = "my.cloudex.app"
"""The host of CLOUDEX TMS's redirect; the certificate must name it when public names are answered."""


def routes(world: World, *, ca_file: Path | None = None) -> list[Route]:
    """The product's routes inside the local tenant's server.

    Args:
        world: its base URL is the product's login and Graph address; its file's folder keeps ``product.sqlite``.
        ca_file: the CA to trust; by default ``ca.pem`` in that folder.
    """
    folder = world.directory.path.parent
    cloud = Cloud(world.base_url, world.base_url, ca_file or folder / "ca.pem")
    hosts = (PUBLIC_HOST,) if world.public_names else ()
    return Product(Store(folder / "product.sqlite"), cloud, hosts).routes()
