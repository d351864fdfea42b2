"""The stories behind the commands: up, adopt, recover, hand over.

Joins the rooms that know nothing of each other (engine, app, microsoft, secrets). Does not print, does not parse flags.
"""
