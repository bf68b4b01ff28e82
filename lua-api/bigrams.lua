-- How surprising is a letter after another, in the names that people give to things? For each of the 28 signs (a to z, 0 for
-- any digit, . for the edge of a word) a line with a character for each sign that may follow: its code less 35 (36 from 93
-- on) is -log2 of the probability, in eighths of a bit; a digit's is that of digits together. Made by
-- tests/api/make_bigrams.py from the parts of Debian 12's package names; figures only, no names.
return {
    ["a"] = "bKBG`YIdKlR@F=gCj=A<OQY]QaUD",
    ["b"] = "=QKQAWXf=Ra?R[?UlEGPA^abTcH<",
    ["c"] = ">aOSB[_>Ml@CSe8LtFKBL`gc]uL@",
    ["d"] = "AHOP7NO^<c[NPSCQgJJTMZ_fXwJ7",
    ["e"] = "IPFHLVThZlbGI>XN^7@C`RTIZhL:",
    ["f"] = "AZOYEBZn9|iCSb>ToEDHKh]ZPu>>",
    ["g"] = "EYRP8SNMChbDPIBKk@GLH_[caeI;",
    ["h"] = "9_RQ8^gr?gcUR_=NpNPAKe^iMnL9",
    ["i"] = "KH@GHMIqcqYBE8CIiJB@aQkR~URG",
    ["j"] = "8RIN<TVWCr^SPXAIaW7QEUYZchTC",
    ["k"] = "CROJ9AS[?j`NNWHPqODKLcViWjE7",
    ["l"] = ">YRL:Y_i8uZEVg>Qo]EKIWdaRdJ;",
    ["m"] = "7LRO:WXc?rbFL^??dXKRIcdiZrL>",
    ["n"] = "CYDB>K@bCaTVXQGUj_B<NSgaViL;",
    ["o"] = "ROEGaTJfUaSAD:EDn<EEJWOSelTD",
    ["p"] = "=^NN=XSHD{]BT[CFmAIGLgaiDvI=",
    ["q"] = "PXKQ]`XaWet@IeZQ`OP13^Z^nnPB",
    ["r"] = "<YKK8WVh@mRSKU?RlTEFOSglOqM8",
    ["s"] = "J[GT>]]FDsTPNWGHX[E;NZXfO{F5",
    ["t"] = "@ZLV;V`H>nVQSd?Op@HKPeYbOfE9",
    ["u"] = "IGLIHQMgAj]DB=^F~>=;bboUn^ZL",
    ["v"] = ">TNL2YTc7rbVLSHT|WPMWmmo`~@?",
    ["w"] = ":WSP9TXM9p]PEJBTiHFP^g`X`pL>",
    ["x"] = "MRHJFLUYGfYMA]RDgMI;a]WPMgA5",
    ["y"] = "EPJOJUQaUf]GIEL?aN?HU_[^xdI1",
    ["z"] = ">RST5U_]<jcHMUC_cWPXT_ZYFDH<",
    ["0"] = "UaQK_dVdbbZ_[_aU^_X]gT^bys9(",
    ["."] = "EIAFJHDMJPKICLL@OG?FPRNO_[f~",
}
