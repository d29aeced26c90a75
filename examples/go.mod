module axp.invalid/examples

go 1.22

// As in e2e/go, which says why it is this version.
require github.com/AxmeAI/axme-sdk-go v0.1.2
