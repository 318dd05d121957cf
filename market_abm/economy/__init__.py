"""The production network: goods, technologies, and the terms of suppliers, consumers, firms."""
