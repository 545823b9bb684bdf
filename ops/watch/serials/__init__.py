"""`pawl serials`: what became of serials, and what is done about one. No serial stands in what is printed."""
