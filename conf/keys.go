package conf

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// EnvironmentPrefix begins the name of each key's environment twin: STRONGROOM_KMIP_LISTEN is listen of [kmip].
const EnvironmentPrefix = "STRONGROOM_"

// A key is one value of the configuration outside of a list of tables.
type key struct {
	path  string // as in "kmip.listen"
	value reflect.Value
}

func (k key) variable() string {
	return EnvironmentPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keys lists the values of c, those of tables behind them. Lists of tables have no environment twins.
func keys(v reflect.Value, prefix string) []key {
	var list []key
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("toml")
		field := v.Field(i)
		switch {
		case name == "", field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
		case field.Kind() == reflect.Struct:
			list = append(list, keys(field, prefix+name+".")...)
		default:
			list = append(list, key{prefix + name, field})
		}
	}
	return list
}

// environment sets what the environment says. Other variables of that prefix are left alone (those of the clients'
// program, those that a cluster makes of a service's name), unless one is a key's but for a slip of the pen.
func (r *reading) environment(environ []string, c *Config) {
	known := make(map[string]key)
	for _, k := range keys(reflect.ValueOf(c).Elem(), "") {
		known[k.variable()] = k
	}
	names := slices.Sorted(maps.Keys(known))
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if k, ok := known[name]; ok {
			r.places[k.path] = name
			r.value(k.path, fromText(text, k.value.Type()), k.value)
		} else if near := nearest(name, names); strings.HasPrefix(name, EnvironmentPrefix) && near != "" && distance(name, near) <= 2 && !c.names(name) {
			r.fault(name, "there is no such variable; did you mean %s?", near)
		}
	}
}

// names says whether the file takes a secret from the variable name.
func (c *Config) names(name string) bool {
	if c.Seal.MasterKeyFile == "env:"+name || slices.ContainsFunc(c.Seal.Previous, func(p Previous) bool { return p.MasterKeyFile == "env:"+name }) {
		return true
	}
	return slices.ContainsFunc(c.HSM, func(h HSM) bool {
		return slices.ContainsFunc(h.Slots, func(s Slot) bool { return s.PINEnv == name })
	})
}

// fromText is what TOML would have for the text of a variable, where t is wanted; a list is separated by commas. Text
// that is none stays a string.
func fromText(text string, t reflect.Type) any {
	switch {
	case t == durationType:
		return text
	case t.Kind() == reflect.Slice:
		list := []any{}
		for _, s := range strings.Split(text, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		return list
	case t.Kind() == reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case t.Kind() == reflect.Float64:
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	case t.Kind() != reflect.String:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	return text
}

// allNames lists every key there is, also those in lists of tables.
func allNames(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("toml")
		inner := t.Field(i).Type
		if name == "" {
			continue
		}
		names = append(names, prefix+name)
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			names = append(names, allNames(inner, prefix+name+".")...)
		}
	}
	return names
}

// nearest is the name that takes the fewest edits, "" when that would be another word.
func nearest(name string, names []string) string {
	best, least := "", len(name)/2+1
	for _, n := range names {
		if d := distance(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
