# Sourced by the commands that need a nightly compiler: tests/fuzz and tests/miri.
# Sets `nightly` to a toolchain of rustup (WAMPLINE_NIGHTLY, by default a fixed one, so that what passed passes again).

nightly=${WAMPLINE_NIGHTLY:-nightly-2026-05-20}

# Installs the toolchain, and the components given, where they are missing.
install_nightly() {
  command -v rustup >/dev/null || { echo "$0: rustup is missing: it brings the compiler $nightly" >&2; exit 2; }
  local component
  if ! rustup run "$nightly" rustc --version >/dev/null 2>&1; then
    echo "== installing $nightly"
    rustup toolchain install "$nightly" --profile minimal --no-self-update </dev/null
  fi
  for component in "$@"; do
    rustup component list --toolchain "$nightly" --installed | grep -q "^$component" && continue
    echo "== installing $component for $nightly"
    rustup component add --toolchain "$nightly" "$component" </dev/null
  done
}
