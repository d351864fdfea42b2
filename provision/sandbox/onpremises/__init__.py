"""The customer's own Exchange beside Exchange Online: another directory, Basic, NTLM and hybrid OAuth, autodiscover.

It answers at ``/_onpremises/``, and by ``Host`` as ``mail.`` and ``autodiscover.`` of the first tenant's own domain
where public names are answered. A tenant has none until the control API makes accounts (``POST
/_sandbox/tenants/{tenant}/onpremises``).
"""
