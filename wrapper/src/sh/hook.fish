# Gives fish the declared dependencies. Written by replit-env-cli; made anew, not edited.
# A login shell gets them in any case, another one where there are none yet: who starts fish in an environment wants that one.
if status is-login; or not string match --quiet --regex -- '(^|[/:])rtld_loader\.so(:|$)' "$LD_AUDIT"
    @script@ --print-env=fish | source
end
