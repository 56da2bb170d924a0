"""What `tinymed report` gathers from a run or a cross-validation; how it is written is in `tinymed/report`."""
