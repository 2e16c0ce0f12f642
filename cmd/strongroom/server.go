package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// serverCommand holds the commands about the server.
func (p *program) serverCommand() *cobra.Command {
	return group("server", "What the server is, and what it can do",
		p.versionCommand(), p.discoverCommand(), p.queryCommand(), p.statusCommand())
}

// versions is the answer of server version.
type versions struct {
	Client      string `json:"client"`
	Server      string `json:"server"`
	Vendor      string `json:"vendor"`
	KMIPVersion string `json:"kmip_version"`
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the server and of this program",
		Example: "  strongroom server version",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.QueryResponse](cmd.Context(), p, kmip.OperationQuery, &kmip.QueryRequest{
				QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionQueryServerInformation},
			})
			if err != nil {
				return err
			}
			v := versions{Client: version(), Server: serverVersion(r.ServerInformation), Vendor: r.VendorIdentification, KMIPVersion: p.client.Version().String()}
			return p.answer(v, "server: %s\nclient: strongroom %s", strings.TrimSpace(v.Vendor+" "+v.Server), v.Client)
		},
	}
}

// serverVersion is the Server Version in a Server Information structure, "" if it has none.
func serverVersion(information ttlv.Raw) string {
	if len(information) == 0 {
		return ""
	}
	n, err := ttlv.Parse(information, nil)
	if err != nil {
		return ""
	}
	for _, c := range n.Children {
		if s, ok := c.Value.(string); ok && c.Tag == ttlv.TagServerVersion {
			return s
		}
	}
	return ""
}

// version describes this build.
func version() string {
	number, commit := "(unknown)", ""
	if build, ok := debug.ReadBuildInfo(); ok {
		number = build.Main.Version
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				commit = " " + s.Value
			}
		}
	}
	return fmt.Sprintf("%s%s %s %s/%s", number, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// spoken is the answer of server discover-versions.
type spoken struct {
	Versions []string `json:"versions"`
}

func (p *program) discoverCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "discover-versions",
		Short:   "List the versions of KMIP that the server speaks, newest first",
		Example: "  strongroom server discover-versions",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.DiscoverVersionsResponse](cmd.Context(), p, kmip.OperationDiscoverVersions, &kmip.DiscoverVersionsRequest{})
			if err != nil {
				return err
			}
			var s spoken
			for _, v := range r.ProtocolVersion {
				s.Versions = append(s.Versions, fmt.Sprintf("%d.%d", v.ProtocolVersionMajor, v.ProtocolVersionMinor))
			}
			return p.answer(s, "%s", strings.Join(s.Versions, "\n"))
		},
	}
}

// abilities is the answer of server query.
type abilities struct {
	Vendor        string   `json:"vendor"`
	ServerVersion string   `json:"server_version,omitempty"`
	Operations    []string `json:"operations"`
	ObjectTypes   []string `json:"object_types"`
	Extensions    []string `json:"extensions,omitempty"`
}

func (p *program) queryCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "query",
		Short:   "List what the server can do",
		Example: "  strongroom server query\n  strongroom server query --json",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := do[kmip.QueryResponse](cmd.Context(), p, kmip.OperationQuery, &kmip.QueryRequest{QueryFunction: []kmip.QueryFunction{
				kmip.QueryFunctionQueryOperations, kmip.QueryFunctionQueryObjects,
				kmip.QueryFunctionQueryServerInformation, kmip.QueryFunctionQueryExtensionList,
			}})
			if err != nil {
				return err
			}
			a := abilities{Vendor: r.VendorIdentification, ServerVersion: serverVersion(r.ServerInformation), Operations: spelledAll(r.Operation)}
			for _, t := range r.ObjectType {
				a.ObjectTypes = append(a.ObjectTypes, spelled(t.String()))
			}
			for _, e := range r.ExtensionInformation {
				a.Extensions = append(a.Extensions, e.ExtensionName)
			}
			return p.answer(a, "Vendor: %s\nServer version: %s\nOperations: %s\nObject types: %s\nExtensions: %s", a.Vendor, a.ServerVersion,
				strings.Join(a.Operations, ", "), strings.Join(a.ObjectTypes, ", "), strings.Join(a.Extensions, ", "))
		},
	}
}

// status is the answer of server status.
type status struct {
	Identity    string  `json:"identity"`
	HSMAdmin    bool    `json:"hsm_admin"`
	KMIPVersion string  `json:"kmip_version"`
	ConnectMS   float64 `json:"connect_ms"`    // milliseconds, with the TLS handshake
	RoundTripMS float64 `json:"round_trip_ms"` // milliseconds for one request
}

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Say whether the server answers, how fast, and who it takes you for",
		Example: "  strongroom server status",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			begun := time.Now()
			c, err := p.connected(cmd.Context())
			if err != nil {
				return err
			}
			connected := time.Now()
			who, err := do[kmip.WhoAmIResponse](cmd.Context(), p, kmip.OperationWhoAmI, &kmip.WhoAmIRequest{})
			if err != nil {
				return err
			}
			s := status{Identity: who.Identity, HSMAdmin: who.HSMAdmin, KMIPVersion: c.Version().String()}
			s.ConnectMS, s.RoundTripMS = milliseconds(connected.Sub(begun)), milliseconds(time.Since(connected))
			return p.answer(s, "The server answers: connected in %.1f ms, answered in %.1f ms, KMIP %s.\nYou are %s.", s.ConnectMS, s.RoundTripMS, s.KMIPVersion, s.Identity)
		},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
