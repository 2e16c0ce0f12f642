package conf

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
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

// overlay sets what the environment says, and gives its faults. Variables of the clients' programs, STRONGROOM_CONFIG for
// one, name no key and are left alone.
func (c *Config) overlay(environ []string) (faults []string) {
	known := make(map[string]key)
	for _, k := range keys(reflect.ValueOf(c).Elem(), "") {
		known[k.variable()] = k
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		k, ok := known[name]
		if !ok {
			continue
		}
		if err := set(k.value, text); err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return faults
}

var durationType = reflect.TypeFor[time.Duration]()

// set gives a value the text of an environment variable; a list is separated by commas.
func set(v reflect.Value, text string) error {
	if v.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 30s", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Slice:
		list := []string{}
		for _, s := range strings.Split(text, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		v.Set(reflect.ValueOf(list))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Uint32:
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no whole number below 2^32", text)
		}
		v.SetUint(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		v.SetFloat(f)
	default:
		panic("a key of kind " + v.Kind().String())
	}
	return nil
}

// unknown is a fault for each key of the file that the configuration does not have.
func unknown(undecoded []toml.Key) (faults []string) {
	names := allNames(reflect.TypeFor[Config](), "")
	for _, k := range undecoded {
		name := k.String()
		fault := fmt.Sprintf("%s: there is no such key", name)
		if near := nearest(name, names); near != "" {
			fault += fmt.Sprintf("; did you mean %s?", near)
		}
		faults = append(faults, fault)
	}
	return faults
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
