"""What readers get: JSON, Markdown, a terminal table, Allure results and HTML. All are made from the verdict document."""
