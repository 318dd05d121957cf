"""What several test files share: strategies, references, comparisons, a browser."""
