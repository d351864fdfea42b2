"""The only room that talks to Microsoft: tokens (azure-identity) and Graph (msgraph-sdk).

Owns: getting tokens, Graph's calls, and turning Microsoft's refusals into one sentence each. Does not own: what should
be there (``app``), secrets' whereabouts (``secrets``), or Pulumi. The SDKs stay inside: other rooms see the small
frozen types of ``microsoft.objects``. The SDKs take a second to load, so they are imported where they are used.
"""
