# One image for every service: web, worker and interactive differ in their command alone.
#   docker build -t tuneboard .
# PyTorch's CUDA build also runs on the CPU, so the same image serves both.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    TUNEBOARD_DATA_DIR=/data

# /home/tuneboard/.cache keeps downloaded weights; both folders become volumes of this user.
RUN useradd --create-home --uid 1000 tuneboard \
    && install --directory --owner=tuneboard --group=tuneboard /data /home/tuneboard/.cache

WORKDIR /srv/tuneboard

# The dependencies alone first: this layer is built again only when they change.
COPY pyproject.toml constraints.txt README.md ./
RUN pip install -c constraints.txt -e .

COPY . .
RUN pip install --no-deps -e . && python -m compileall -q app store trainer tuneboard worker

USER tuneboard
VOLUME ["/data", "/home/tuneboard/.cache"]
EXPOSE 8765

# Everything in one container; compose runs each service in its own. To be reached from outside it
# needs TUNEBOARD_HOST=0.0.0.0 and, as it then insists, TUNEBOARD_ACCESS_TOKENS.
CMD ["tuneboard", "up"]

# For the whole and for the web; compose gives the workers checks of their own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "tuneboard.health", "web"]
