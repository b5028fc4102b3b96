"""Define the types of records, and read records from a site's file."""
