package main

import (
	"strings"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// locating are the flags of locate.
type locating struct {
	names, tags, groups []string
	objectType          string
	algorithm           string
	state               string
	bits                int32
	most, offset        int32
}

// located is the answer of locate.
type located struct {
	LocatedItems      *int32   `json:"located_items,omitempty"` // how many match in all, where the server counted them
	UniqueIdentifiers []string `json:"unique_identifiers"`
}

func (p *program) locateCommand() *cobra.Command {
	var l locating
	cmd := &cobra.Command{
		Use:   "locate",
		Short: "Find objects that you may use",
		Long: `List the unique identifiers of the objects that you may use in some way and that have all attributes asked for, newest
first, one a line.`,
		Example: `  strongroom locate
  strongroom locate --tag backups --object-type symmetric-key --state active
  strongroom locate --algorithm rsa --max 10 --json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := l.request()
			if err != nil {
				return err
			}
			r, err := do[kmip.LocateResponse](cmd.Context(), p, kmip.OperationLocate, q)
			if err != nil {
				return err
			}
			found := located{LocatedItems: r.LocatedItems, UniqueIdentifiers: []string{}}
			for _, uid := range r.UniqueIdentifier {
				found.UniqueIdentifiers = append(found.UniqueIdentifiers, string(uid))
			}
			if len(found.UniqueIdentifiers) == 0 && !p.json {
				return nil
			}
			return p.answer(found, "%s", strings.Join(found.UniqueIdentifiers, "\n"))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&l.names, objectNameFlag, nil, "`NAME` attribute (may be repeated)")
	f.StringArrayVarP(&l.tags, tagFlag, "t", nil, "`WORD` it was tagged with (may be repeated)")
	f.StringArrayVar(&l.groups, "object-group", nil, "`GROUP` it is in (may be repeated)")
	f.StringVar(&l.objectType, "object-type", "", "`TYPE`: symmetric-key, private-key, public-key, certificate, secret-data, …")
	f.StringVarP(&l.algorithm, "algorithm", "a", "", "`ALGORITHM`: aes, rsa, …")
	f.Int32VarP(&l.bits, "number-of-bits", "l", 0, "cryptographic length `N`")
	f.StringVar(&l.state, "state", "", "`STATE`: pre-active, active, deactivated, compromised, destroyed, …")
	f.Int32Var(&l.most, "max", 0, "most `N` answers (default all)")
	f.Int32Var(&l.offset, "offset", 0, "leave out the first `N`")
	return cmd
}

// request makes the request.
func (l *locating) request() (*kmip.LocateRequest, error) {
	if l.most < 0 || l.offset < 0 || l.bits < 0 {
		return nil, misused("--max, --offset and --number-of-bits are not negative")
	}
	q := &kmip.LocateRequest{OffsetItems: &l.offset} // who sends it is told how many match
	if l.most > 0 {
		q.MaximumItems = &l.most
	}
	for _, n := range l.names {
		q.Attributes = q.Attributes.Plus(ttlv.TagName, kmip.Name{NameValue: n, NameType: kmip.NameTypeUninterpretedTextString})
	}
	for _, t := range l.tags {
		q.Attributes = q.Attributes.PlusVendor(kmip.VendorClient, kmip.AttributeTag, t)
	}
	for _, g := range l.groups {
		q.Attributes = q.Attributes.Plus(ttlv.TagObjectGroup, g)
	}
	if l.bits > 0 {
		q.Attributes = q.Attributes.Plus(ttlv.TagCryptographicLength, l.bits)
	}
	return q, l.enumerations(q)
}

// enumerations adds the attributes that have a name for each value. Destroyed objects are looked for where the state asks
// for them.
func (l *locating) enumerations(q *kmip.LocateRequest) error {
	if l.objectType != "" {
		t, err := named[kmip.ObjectType](ttlv.TagObjectType, "object type", l.objectType)
		if err != nil {
			return err
		}
		q.Attributes = q.Attributes.Plus(ttlv.TagObjectType, t)
	}
	if l.algorithm != "" {
		a, err := named[kmip.CryptographicAlgorithm](ttlv.TagCryptographicAlgorithm, "algorithm", l.algorithm)
		if err != nil {
			return err
		}
		q.Attributes = q.Attributes.Plus(ttlv.TagCryptographicAlgorithm, a)
	}
	if l.state != "" {
		s, err := named[kmip.State](ttlv.TagState, "state", l.state)
		if err != nil {
			return err
		}
		q.Attributes = q.Attributes.Plus(ttlv.TagState, s)
		if s == kmip.StateDestroyed || s == kmip.StateDestroyedCompromised {
			m := kmip.StorageStatusMaskDestroyedStorage
			q.StorageStatusMask = &m
		}
	}
	return nil
}
