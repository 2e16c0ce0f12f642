package conf

import (
	_ "embed" // for the example
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed example.toml
var example string

// Example is a whole configuration file, with every key.
func Example() string { return example }

// hidden stands for a secret.
const hidden = "(hidden)"

// Show is the configuration in force, as TOML. Of secrets the configuration holds only where they are, but for what it
// hands to a module in variables: those are hidden where their name sounds like a secret.
func (c *Config) Show() string {
	shown := *c
	shown.HSM = slices.Clone(c.HSM)
	for i := range shown.HSM {
		env := maps.Clone(shown.HSM[i].Env)
		for name := range env {
			if secretName(name) {
				env[name] = hidden
			}
		}
		shown.HSM[i].Env = env
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# in force, from %s and the environment\n", c.file)
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	if err := encoder.Encode(&shown); err != nil {
		panic(err) // the struct is made of what TOML has
	}
	return b.String()
}

// secretName says that the value of a variable for a module is likely a secret.
func secretName(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc([]string{"PIN", "PASS", "SECRET", "TOKEN", "CREDENTIAL"}, func(word string) bool {
		return strings.Contains(name, word)
	})
}
