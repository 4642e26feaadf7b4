"""What is seen: the pages and their parts. The only code of the project that imports streamlit."""
