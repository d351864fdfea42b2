"""Exchange Online's administration side: mailboxes and settings, and the cmdlets that change them."""
