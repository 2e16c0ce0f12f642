package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"strongroom/store/seal"
)

// largestEnvelope is in bytes: 16 MiB of material and its header.
const largestEnvelope = 17 << 20

// envelopeCommand holds what there is to do with one envelope.
func envelopeCommand() *cobra.Command {
	cmd := group("envelope", "Look at envelopes, the form of everything secret at rest")
	cmd.AddCommand(&cobra.Command{
		Use:   "inspect FILE",
		Short: "Print the header of an envelope, without any key",
		Long: `Print the header of the envelope in FILE (- for standard input): what it holds, which key opens it and how. That takes no key; and
so the header is what somebody wrote there, until the envelope is opened.`,
		Example: "  strongroomd envelope inspect tls/server.key.enc",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			raw, err := io.ReadAll(io.LimitReader(in, largestEnvelope))
			if err != nil {
				return err
			}
			e, err := seal.Parse(raw)
			if err != nil {
				return err
			}
			return tellEnvelope(cmd.OutOrStdout(), e)
		},
	})
	return cmd
}

func tellEnvelope(out io.Writer, e *seal.Envelope) error {
	purposes := map[seal.Purpose]string{seal.PurposeSlot: "slot", seal.PurposeObject: "object", seal.PurposeFile: "file", seal.PurposeBackup: "backup",
		seal.PurposeSetting: "setting"}
	purpose, ok := purposes[e.Purpose]
	if !ok {
		purpose = strconv.Itoa(int(e.Purpose))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"version", "1"}, {"purpose", purpose}, {"algorithm", "AES-256-GCM"}, {"generation", strconv.FormatUint(uint64(e.Generation), 10)},
		{"protector", plain(e.Protector)}, {"mechanism", e.Mechanism.String()}, {"MAC key", plain(dash(e.MACKey))},
		{"material", fmt.Sprintf("%d bytes", e.Size())},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	return w.Flush()
}
