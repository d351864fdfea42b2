"""Exchange Web Services: the SOAP interface in which clients that know no Graph send mail and find it again."""
