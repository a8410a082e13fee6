# The service in a container. On Elastic Beanstalk it is not needed: see docs/deploy.md, "In a container".
#   docker build -t shine-hare-run . && docker run --rm -p 8000:8000 shine-hare-run
FROM python:3.12.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    OPERATOR_LOCAL=no \
    MODEL_CACHE_DIR=/var/cache/shine-hare-run

WORKDIR /srv/shine-hare-run

COPY requirements.txt requirements.lock ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

COPY application.py gunicorn.conf.py ./
COPY analyzer ./analyzer
COPY web ./web
COPY models ./models

RUN python -m analyzer.model_store verify models/hare_run_v6_facial --open
RUN mkdir -p "$MODEL_CACHE_DIR" && chown -R 10001:10001 "$MODEL_CACHE_DIR"

USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/ready', timeout=4)"]
CMD ["gunicorn", "-c", "gunicorn.conf.py", "application:application"]
