package conf

import (
	_ "embed" // for the example
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed example.toml
var example string

// Example is a whole configuration file, with every key.
func Example() string { return example }

// Show is the configuration in force, as TOML. It has no secrets, for the configuration holds none: it names where they are.
func (c *Config) Show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# in force, from %s and the environment\n", c.file)
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	if err := encoder.Encode(c); err != nil {
		panic(err) // the struct is made of what TOML has
	}
	return b.String()
}
