"""The genome, its division, its windows and the mixture that is trained on."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from workflow.config.checks import (
    require,
    require_choice,
    require_name,
    require_pattern,
    require_positive,
    require_share,
)

SPLITS = ("train", "val", "test")


@dataclass
class GenomeConfig:
    """The genome to adapt to.

    Attributes
    ----------
    name : str
        Short name, part of the run's name.
    fasta : str
        FASTA, plain or gz; or a GenBank file, which brings its annotation. A path, or an https URL.
    annotation : str, optional
        GFF3 or GTF, plain or gz; a path or an https URL. Without one the table of features is empty.
    fasta_sha256, annotation_sha256 : str, optional
        SHA-256 of the files as they are published. What a URL gives must have it.
    fasta_bytes, annotation_bytes : int, optional
        Their sizes.
    organism, source : str
        Shown in the report; `source` says where the files come from, and is part of the message when one
        is missing.
    lineage : str, optional
        Taxonomy as Evo2's tags have it, `d__Eukaryota;p__Streptophyta;c__…;o__…;f__…;g__…;s__…`.
    lineages : dict
        Taxonomy of single sequences by their exact names, in place of `lineage`.
    sequence_names : str, optional
        Regular expression with the named groups `group` (homolog group; several joined by `_` in a
        recombinant chromosome) and, where there are copies, `haplotype` and `subgenome`. Sequences of one
        group are never split between train and test.
    unplaced_names : str, optional
        Regular expression of unplaced scaffolds: copies of unknown chromosomes.
    sequence_table : str, optional
        CSV, TSV or Parquet with the columns seqid, group, haplotype (and subgenome), in place of both
        expressions. An empty group marks an unplaced scaffold.
    """

    name: str = MISSING
    fasta: str = MISSING
    annotation: str | None = None
    fasta_sha256: str | None = None
    annotation_sha256: str | None = None
    fasta_bytes: int | None = None
    annotation_bytes: int | None = None
    organism: str = ""
    source: str = ""
    lineage: str | None = None
    lineages: dict[str, str] = field(default_factory=dict)
    sequence_names: str | None = None
    unplaced_names: str | None = None
    sequence_table: str | None = None

    def __post_init__(self) -> None:
        if self.name != MISSING:
            require_name("genome.name", self.name)
        for key in ("sequence_names", "unplaced_names"):
            require_pattern(f"genome.{key}", getattr(self, key))
        require(
            self.sequence_names is None or "(?P<group>" in self.sequence_names,
            "genome.sequence_names has no named group (?P<group>…)",
        )


@dataclass
class SplitConfig:
    """How the genome is divided into train, val and test.

    Attributes
    ----------
    method : str
        `sequence`: whole sequences, those of a homolog group together. `block`: contiguous blocks with a
        purge gap; refused where names tell homologs. `auto`: sequence where every split gets half to twice
        its share, else block. `table`: as `split.table` says.
    fractions : dict
        Share of the bases that each split should get.
    train, val, test : list of str
        Homolog groups, or names of single sequences, that are to be in this split (method sequence).
    table : str, optional
        CSV, TSV or Parquet with the columns seqid, split and, where parts of sequences are meant, start and
        end (0-based half-open). Sequences that it does not name are left out.
    unplaced : str
        `exclude` unplaced scaffolds, or `join` those that are copies of one homolog group to it.
    audit : bool
        Compare sequences and windows by their k-mers. Without, names are trusted, nothing is known of
        leakage, and the gate `train_test_similarity` says so; blocks cannot be made.
    max_containment : float
        A val or test window of which a larger part of the k-mers lies in one stretch of train is left out;
        1 leaves none out.
    block_length : int, optional
        Bases; by default 1/20 of the genome, at least 2 · `windows.min_length` and at most 100 kb.
    purge : int
        Bases left out at each border between blocks of different splits, but at most a quarter of a block.
    max_shared : float
        Blocks that share a larger part of their k-mers than this, or of 100 kb, on either strand, go to one
        split.
    """

    method: str = "auto"
    fractions: dict[str, float] = field(default_factory=lambda: {"train": 0.8, "val": 0.1, "test": 0.1})
    block_length: int | None = None
    purge: int = 1000
    max_shared: float = 0.02
    train: list[str] = field(default_factory=list)
    val: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    table: str | None = None
    unplaced: str = "exclude"
    audit: bool = True
    max_containment: float = 0.5

    def __post_init__(self) -> None:
        require_choice("split.method", self.method, ("auto", "sequence", "block", "table"))
        require_choice("split.unplaced", self.unplaced, ("exclude", "join"))
        require_share("split", self, "max_shared", "max_containment")
        require((self.method == "table") == (self.table is not None), "split.method=table and split.table go together")
        forced = [name for split in SPLITS for name in getattr(self, split)]
        twice = sorted({name for name in forced if forced.count(name) > 1})
        require(not twice, f"split: {', '.join(twice)} is forced into more than one split")
        require(
            set(self.fractions) == set(SPLITS) and all(share > 0 for share in self.fractions.values()),
            f"split.fractions={self.fractions}: give a positive share to each of {', '.join(SPLITS)}",
        )
        require(abs(sum(self.fractions.values()) - 1) < 1e-6, f"split.fractions={self.fractions} do not add up to 1")
        require(self.block_length is None or self.block_length > 0, "split.block_length must be positive")
        require(self.purge >= 0, f"split.purge={self.purge} must not be negative")


WINDOW_KINDS = ("tiling", "genic", "transcript", "cds", "promoter", "background")


@dataclass
class WindowSetConfig:
    """One named set of windows.

    Attributes
    ----------
    kind : str
        `tiling`: consecutive windows. `genic`: genes with flanks, neighbours merged. `transcript`: spliced
        exons, with a promoter before and intron flanks stitched in. `cds`: coding sequences in frame.
        `promoter`: around transcription starts. `background`: outside of genes.
    length, stride : int, optional
        Bases of tiling and background windows, and between their starts; by default `windows.length`, and
        the length.
    upstream, downstream : int
        Bases added before and after, by strand: of genes and of transcription starts.
    max_length : int
        Longest genic window; a gene that is longer with its flanks goes without them, and is cut there.
    merge_distance : int
        Genic windows nearer than this are one while that is not longer than `max_length`.
    intron_flank : int
        Bases of each intron kept at either side of an exon (transcript).
    compatible : bool
        Genic extents as the earlier sugarcane workflow had them: always the plus strand, long genes uncut,
        merged from genes of either strand, named after the first three genes.
    splits : list of str
        Which splits are written.
    """

    kind: str = MISSING
    length: int | None = None
    stride: int | None = None
    upstream: int = 2000
    downstream: int = 1000
    max_length: int = 20_000
    merge_distance: int = 5000
    intron_flank: int = 0
    compatible: bool = False
    splits: list[str] = field(default_factory=lambda: list(SPLITS))

    def __post_init__(self) -> None:
        if self.kind != MISSING:
            require_choice("windows.sets.*.kind", self.kind, WINDOW_KINDS)
        require_positive("windows.sets.*", self, "max_length")
        for key in ("length", "stride"):
            value = getattr(self, key)
            require(value is None or value > 0, f"windows.sets.*.{key}={value} must be positive")
        for key in ("upstream", "downstream", "merge_distance", "intron_flank"):
            require(getattr(self, key) >= 0, f"windows.sets.*.{key}={getattr(self, key)} must not be negative")
        for name in self.splits:
            require_choice("windows.sets.*.splits", name, SPLITS)


#: Bases of a k-mer: what is shorter cannot be compared with train.


#: Bases of a k-mer: what is shorter cannot be compared with train.
_SHORTEST_WINDOW = 31


@dataclass
class WindowsConfig:
    """Named sets of windows: what is scored, and what a training mixture may hold.

    Attributes
    ----------
    length : int
        Bases of tiling windows.
    min_length : int
        Shorter stretches between N runs, and shorter remainders at their ends, are left out and counted.
        Never more than `length`.
    copies : str
        Near-identical windows of homologous sequences of one split: `weight` gives each 1/copies, `remove`
        keeps the first, `keep` gives all the weight 1.
    copy_containment : float
        Windows are near-identical when so large a part of the k-mers of one lies in the other's sequence.
    sets : dict
        Sets by name.
    """

    length: int = 1024
    min_length: int = 128
    copies: str = "weight"
    copy_containment: float = 0.5
    sets: dict[str, WindowSetConfig] = field(default_factory=lambda: {"tiling": WindowSetConfig("tiling")})

    def __post_init__(self) -> None:
        require(
            self.length >= _SHORTEST_WINDOW,
            f"windows.length={self.length} must be at least {_SHORTEST_WINDOW}: shorter windows cannot be audited",
        )
        require(self.min_length > 0, f"windows.min_length={self.min_length} must be positive")
        require_choice("windows.copies", self.copies, ("weight", "remove", "keep"))
        require_share("windows", self, "copy_containment")
        for name in self.sets:
            require_name("windows.sets", name)
            require(name != "regions", "windows.sets.regions: this name means the whole regions of a split")
        self.min_length = min(self.min_length, self.length)


@dataclass
class MixtureConfig:
    """What the model is trained on, as weights that Megatron's blending reads.

    Attributes
    ----------
    weights : dict
        Share of the training bases by name of a window set, or of `regions`: the whole regions of the train
        split. Shares are relative; one of 0 is left out.
    lineage_spacing : int
        Where `genome.lineage` is given, a tag begins every stretch of so many tokens of a document, itself
        included.
    lineage_dropout : float
        Share of the ranks of a tag that are replaced by None, drawn for each document.
    """

    weights: dict[str, float] = field(default_factory=lambda: {"regions": 1.0})
    lineage_spacing: int = 131_072
    lineage_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            require(0 <= weight < 1e6, f"mixture.weights.{name}={weight} must lie between 0 and 1,000,000")
        require(bool(self.shares), "mixture.weights is empty: there is nothing to train on")
        require_positive("mixture", self, "lineage_spacing")
        require_share("mixture", self, "lineage_dropout")

    @property
    def shares(self) -> dict[str, float]:
        """The weights of what is in the mixture."""
        return {name: weight for name, weight in self.weights.items() if weight > 0}
