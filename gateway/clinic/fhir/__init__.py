"""Records as FHIR R4 resources, and answers out of them."""
