"""What is done with an application: requests, each in every way that PEP 3333 leaves open."""
