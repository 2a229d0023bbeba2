"""The report: clauses, findings, and the formats that they are printed in."""
