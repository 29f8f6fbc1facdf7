# The phases of a build, as far as this project's packages define them.
set -eo pipefail
# As nixpkgs' stdenv has it: a pattern that nothing matches is no word at all.
shopt -s nullglob
export HOME=/homeless-shelter LC_ALL=C

# Of the hooks beside the phases, packages here define none or few.
runHook() {
  eval "${!1}"
}

if [ -n "$buildCommand" ]; then
  eval "$buildCommand"
  exit
fi

cp --recursive --no-preserve=mode "$src" source
cd source
for phase in configurePhase buildPhase ${doCheck:+checkPhase} installPhase; do
  eval "${!phase}"
done
