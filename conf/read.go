package conf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fault is something wrong with one key.
type fault struct {
	path string // of the key, as "kmip.listen" or "hsm[0].slot[1].number"
	text string
}

// faultf makes a fault.
func faultf(path, format string, args ...any) fault { return fault{path, fmt.Sprintf(format, args...)} }

// report is the error that lists the faults, in the order of the file; nil where there are none.
func (c *Config) report(faults []fault, places map[string]string) error {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(lineOf(placeOf(a.path, places)), lineOf(placeOf(b.path, places))), cmp.Compare(a.path, b.path))
	})
	faults = slices.CompactFunc(faults, func(a, b fault) bool { return a.path == b.path }) // one says enough
	var b strings.Builder
	b.WriteString(c.file + ":")
	for _, f := range faults {
		b.WriteString("\n  ")
		if place := placeOf(f.path, places); place != "" {
			b.WriteString(place + ": ")
		}
		b.WriteString(f.path + ": " + f.text)
	}
	return errors.New(b.String())
}

// placeOf is where a key was set, or else the table that should have it; "" is nowhere.
func placeOf(path string, places map[string]string) string {
	for {
		if place, ok := places[path]; ok {
			return place
		}
		dot := strings.LastIndexAny(path, ".[")
		if dot < 0 {
			return ""
		}
		path = path[:dot]
	}
}

// lineOf is the number of a place in the file, and 0 of others.
func lineOf(place string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(place, "line "))
	return n
}

// A reading sets the values of a configuration from a TOML tree, and collects what is wrong with each. The decoder of the
// library would stop at the first.
type reading struct {
	places map[string]string
	faults []fault
}

func (r *reading) fault(path, format string, args ...any) {
	r.faults = append(r.faults, faultf(path, format, args...))
}

// table sets the fields of a struct from a table.
func (r *reading) table(path string, tree map[string]any, v reflect.Value) {
	fields := make(map[string]reflect.Value)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("toml"); name != "" {
			fields[name] = v.Field(i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		at := join(path, name)
		if field, ok := fields[name]; ok {
			r.value(at, tree[name], field)
			continue
		}
		if near := nearest(unindexed(at), allNames(reflect.TypeFor[Config](), "")); near != "" {
			r.fault(at, "there is no such key; did you mean %s?", near)
		} else {
			r.fault(at, "there is no such key")
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// value sets v from a value of TOML: string, int64, float64, bool, []any, []map[string]any or map[string]any.
func (r *reading) value(path string, x any, v reflect.Value) {
	ok, want := false, ""
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		r.value(path, x, v.Elem())
		return
	case reflect.Struct:
		var t map[string]any
		if t, ok = x.(map[string]any); ok {
			r.table(path, t, v)
		}
		want = "a table"
	case reflect.Slice:
		ok, want = r.list(path, x, v)
	case reflect.Map:
		ok, want = r.texts(path, x, v), "a table of strings"
	default:
		ok, want = scalar(x, v)
	}
	if !ok {
		r.fault(path, "%s is wanted", want)
	}
}

// list sets a list of strings or of tables.
func (r *reading) list(path string, x any, v reflect.Value) (ok bool, want string) {
	want = "a list of strings"
	if v.Type().Elem().Kind() == reflect.Struct {
		want = "a list of tables"
	}
	given := reflect.ValueOf(x)
	if given.Kind() != reflect.Slice {
		return false, want
	}
	v.Set(reflect.MakeSlice(v.Type(), given.Len(), given.Len()))
	for i := range given.Len() {
		r.value(fmt.Sprintf("%s[%d]", path, i), given.Index(i).Interface(), v.Index(i))
	}
	return true, want
}

// texts sets a table of strings.
func (r *reading) texts(path string, x any, v reflect.Value) bool {
	t, ok := x.(map[string]any)
	if !ok {
		return false
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		text, ok := t[name].(string)
		if !ok {
			r.fault(join(path, name), "a string is wanted")
		}
		v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(text))
	}
	return true
}

var durationType = reflect.TypeFor[time.Duration]()

// scalar sets a single value; where x is something else it leaves the value, and says what is wanted.
func scalar(x any, v reflect.Value) (ok bool, want string) {
	if v.Type() == durationType {
		text, _ := x.(string)
		d, err := time.ParseDuration(text)
		if err != nil {
			return false, `a duration such as "30s"`
		}
		v.SetInt(int64(d))
		return true, ""
	}
	n, whole := x.(int64)
	switch v.Kind() {
	case reflect.String:
		if whole && v.Type() == reflect.TypeFor[Mechanism]() {
			x = strconv.FormatInt(n, 10)
		}
		if _, ok = x.(string); ok {
			v.SetString(x.(string))
		}
		return ok, "a string"
	case reflect.Bool:
		if _, ok = x.(bool); ok {
			v.SetBool(x.(bool))
		}
		return ok, "true or false"
	case reflect.Int:
		if whole {
			v.SetInt(n)
		}
		return whole, "a whole number"
	case reflect.Uint, reflect.Uint32:
		if ok = whole && n >= 0 && n <= math.MaxUint32; ok {
			v.SetUint(uint64(n))
		}
		return ok, "a whole number from 0, below 2^32,"
	case reflect.Float64:
		f, ok := x.(float64)
		if whole {
			f, ok = float64(n), true
		}
		if ok = ok && !math.IsNaN(f) && !math.IsInf(f, 0); ok {
			v.SetFloat(f)
		}
		return ok, "a number"
	}
	panic("a key of kind " + v.Kind().String())
}
