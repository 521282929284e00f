"""What a careful reviewer would check in a set of texts."""
