"""Why mail does not go out: facts gathered once, rules that judge them without I/O, causes ranked, remedies.

``facts`` is what can be known, ``layers`` the order in which Microsoft refuses, ``codes`` what its answers mean,
``rules`` the causes with their remedies, ``judge`` the ranking, ``explain`` a pasted error text, ``gather`` all I/O,
``fix`` the remedies that a program may apply, ``forms`` the ways to show it.
"""
