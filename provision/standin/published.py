"""Application ids that Microsoft publishes, under the names that the real plugin gives them.

Owns: a selection, those that programs around mail and sign-in ask for; the real plugin knows some 150. A name that is
not here is missing from the answer, so a program that needs it fails at once.

Source: "Application IDs of commonly used Microsoft applications" (Microsoft identity platform); names and ids agree
with the answer of ``getApplicationPublishedAppIds`` of the real plugin 6.11.1.
"""

from __future__ import annotations

PUBLISHED_APP_IDS = {
    "AzureActiveDirectoryGraph": "00000002-0000-0000-c000-000000000000",
    "AzureDevOps": "499b84ac-1321-427f-aa17-267ca6975798",
    "AzureKeyVault": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "AzurePortal": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    "AzureResourceManager": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "AzureServiceManagement": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "AzureStorage": "e406a681-f3d4-42a8-90b6-c2b029497af1",
    "MicrosoftAzureCli": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "MicrosoftGraph": "00000003-0000-0000-c000-000000000000",
    "MicrosoftIntune": "0000000a-0000-0000-c000-000000000000",
    "MicrosoftOffice": "d3590ed6-52b3-4102-aeff-aad2292ab01c",
    "MicrosoftTeams": "1fec8e78-bce4-4aaf-ab1b-5451cc387264",
    "Office365ExchangeOnline": "00000002-0000-0ff1-ce00-000000000000",
    "Office365ExchangeOnlineProtection": "00000007-0000-0ff1-ce00-000000000000",
    "Office365Management": "c5393580-f805-4401-95e8-94b7a6ef2fc2",
    "Office365Portal": "00000006-0000-0ff1-ce00-000000000000",
    "Office365SharePointOnline": "00000003-0000-0ff1-ce00-000000000000",
    "PowerBiService": "00000009-0000-0000-c000-000000000000",
}
