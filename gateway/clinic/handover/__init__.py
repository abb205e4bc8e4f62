"""Records on their way to the receiving side's FHIR server, and the answers on their way back."""
