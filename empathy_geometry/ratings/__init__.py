"""What people say of the texts: blinded rating sheets, their import, agreement, and the geometry beside it."""
