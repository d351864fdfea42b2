"""Google Workspace: whether a user can send by Gmail's SMTP with an app password, and what stands in the way.

Owns: reading 2-Step Verification and app passwords as the customer's administrator (``directory``), one live sign-in
and test mail (through ``mail``), the causes of Google's refusals (``refusals``), the user's and the administrator's
guide (``guide``). What was read is a value (``facts``), judged purely (``judge``) into findings; ``check`` does both.
"""
