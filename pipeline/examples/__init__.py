"""Programs that show how to use what is published. They may be copied and changed."""
