"""Do published results fit each other?  `table.audit_table` checks the rows that `reader` reads."""
