"""Any OpenAI-compatible endpoint that goes on with a begun answer: a teacher, never a judge."""
