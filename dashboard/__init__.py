"""What is seen: the pages, their parts and charts. The only code of the project that imports streamlit."""
