# The app as a Docker Space of the Hugging Face hub (`make space`), or on any machine with Docker:
#     docker build --tag finetune-arena . && docker run --publish 8501:8501 --volume "$PWD/arena:/data" finetune-arena
# A folder at /data that user 1000 may write keeps records and models. What is copied here is what `make space`
# uploads, and `python -m scripts.clean_root` carries these steps out without Docker: they stay as simple as what
# scripts/image/dockerfile.py reads.

FROM python:3.11-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install --yes --no-install-recommends g++ make && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /venv
# Before the requirements, so that changing those does not compile again. Not for the processor that builds (that would
# be GGML_NATIVE), but for any with AVX2, as the Space's is.
RUN CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" \
    pip --python /venv/bin/python install --no-deps llama-cpp-python==0.3.36
COPY requirements.txt /tmp/requirements.txt
RUN pip --python /venv/bin/python install --requirement /tmp/requirements.txt
# 100 MB of the packages' own tests
RUN find /venv -type d -name tests -prune -exec rm -r {} +

FROM python:3.11-slim-bookworm
# What llama.cpp shares its sums among threads with
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 user
COPY --from=packages /venv /venv
WORKDIR /app
COPY LICENSE streamlit_app.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY scripts/__init__.py scripts/start_space.py scripts/space_secrets.py scripts/
COPY training training
COPY evaluation evaluation
COPY results/published results/published
COPY dashboard dashboard
RUN python -m compileall -q .
# Code and packages belong to root. What is written goes into the user's home, or onto a volume at /data.
USER user
ENV PATH=/venv/bin:$PATH HOME=/home/user PYTHONUNBUFFERED=1 HF_HUB_DISABLE_PROGRESS_BARS=1
ENV CACHE_DIR=/home/user/.cache/finetune-arena HF_HOME=/home/user/.cache/huggingface XDG_CACHE_HOME=/home/user/.cache
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "scripts.start_space"]
