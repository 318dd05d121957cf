"""What a user sees: sentences, numbers, figures, pages."""
