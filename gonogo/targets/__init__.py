"""What is judged: a constructor alone, an application, or a previous release, each in a worker process of its own."""
