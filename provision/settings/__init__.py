"""Typed configuration: where Microsoft is, who we are, which product, what the stack asks for.

Owns every setting's name, default and check. Illegal settings die here, at construction, naming the bad and the valid
ones, before anything is sent. Does not own: tokens (``microsoft``) or what is made of the settings (``app``).
"""
