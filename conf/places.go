package conf

import (
	"fmt"
	"strings"
)

// lines finds in TOML that has no error of syntax the line of each key and table. The library does not tell; where this
// reading is too simple for what the file does (a key split over inline tables), a place is missing, and nothing else.
func lines(text string) map[string]string {
	places := make(map[string]string)
	counts := make(map[string]int) // of the tables in each list
	table, quote := "", ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if quote != "" { // inside a string of several lines
			if strings.Contains(line, quote) {
				quote = ""
			}
			continue
		}
		for _, q := range []string{`"""`, `'''`} {
			if strings.Count(line, q)%2 == 1 {
				quote = q
			}
		}
		at := fmt.Sprintf("line %d", i+1)
		if name, ok := strings.CutPrefix(line, "[["); ok {
			name, _, _ = strings.Cut(name, "]]")
			table = header(name, true, counts)
			places[table] = at
		} else if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(name, "]")
			table = header(name, false, counts)
			places[table] = at
		} else if name, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			places[join(table, dotted(name))] = at
		}
	}
	return places
}

// header is the path of a table by its header, with the place in each list that it is in.
func header(name string, list bool, counts map[string]int) string {
	path := ""
	segments := strings.Split(dotted(name), ".")
	for i, segment := range segments {
		path = join(path, segment)
		if list && i == len(segments)-1 {
			counts[path]++
		}
		if n := counts[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}

// dotted is a key as paths write it: without quotes and blanks.
func dotted(name string) string {
	return strings.NewReplacer(`"`, "", "'", "", " ", "", "\t", "").Replace(name)
}

// unindexed is a path without the places in lists.
func unindexed(path string) string {
	var b strings.Builder
	for rest := path; ; {
		before, after, found := strings.Cut(rest, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, rest, _ = strings.Cut(after, "]")
	}
}
